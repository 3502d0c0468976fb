"""A run in which every kind of stage takes part: few bodies of coarse voxels, trainings of three steps."""

from tests.integration.tiny_training import NETWORK, TRAINING
from tests.registration_pairs import COARSE_DEEDS

COARSE = {"field_of_view": {"size_vox": [40, 32, 40], "spacing_mm": [9, 9, 9]}}
SHORT = TRAINING | {
    "mix": {"phantom_pairs": 1},
    "num_steps": 3,
    "state_interval_steps": 1,
    "validation": {"interval_steps": 1, "num_pairs": 1, "num_points": 5},
}
FIT = {
    "inlier_distance_mm": 100,
    "min_inliers": 4,
    "min_inlier_fraction": 0,
    "min_spread_mm": 0.1,
    "max_rotation_degrees": 180,
    "max_scale_change": 0.9,
    "min_agreeing_similarity": None,
    "images": None,
}
OVERLAY = {
    "title": "Every stage",
    "results": "results",
    "datasets": {
        "phantom_pairs": {
            "kind": "phantom",
            "num_subjects": 3,
            "seed": 7,
            "modalities": ["ct", "mr"],
            "ct": COARSE,
            "mr": COARSE,
            "split": {"num_test": 1, "num_validation": 1, "seed": 1},
        },
        "phantom_tracking": {
            "kind": "phantom_tracking",
            "num_subjects": 1,
            "seed": 6,
            "ct": COARSE,
            "follow_up": {"slice_spacings_mm": [9]},
            "split": {"num_test": 1, "num_validation": 0, "seed": 1},
        },
    },
    "volumes": {"spacing_mm": [9, 9, 9]},
    "models": {
        "sam": {"recipe": "sam_small", "network": NETWORK, "training": SHORT},
        "sampp": {
            "recipe": "sampp_small",
            "initial_model": "sam",
            "network": NETWORK | {"has_semantic_head": True},
            "training": SHORT,
            "semantic": {
                "dataset": "phantom_pairs",
                "probability": 0.5,
                "num_volumes": 2,
                "crop_size_vox": [24, 24, 24],
            },
        },
        "cross_sam_m1": {
            "recipe": "cross_sam_small",
            "initial_model": "sam",
            "network": NETWORK | {"self_similarity": None},
            "training": SHORT,
            "registered": {"registration": "round_1", "num_slots": 1},
        },
    },
    "evaluations": {
        "phantom_ct_to_mr": {
            "dataset": "phantom_pairs",
            "pairs": {"template_modality": "ct", "target_modality": "mr"},
            "models": ["sampp"],
            "methods": ["nearest"],
            "bootstrap": {"num_resamples": 100},
            "baselines": ["same_coordinate"],
        },
    },
    "registrations": {
        "round_1": {
            "dataset": "phantom_pairs",
            "pairs": {"fixed_modality": "ct", "moving_modality": "mr", "splits": ["train"]},
            "guide": {
                "recipe": "small",
                "model": "sam",
                "grid": {"spacing_mm": [36, 36, 36], "min_similarity": -1, "max_return_distance_mm": None},
                "fit": FIT,
            },
            "deeds": COARSE_DEEDS | {"recipe": "small"},
        }
    },
    "trackings": {
        "phantom_tracking": {
            "dataset": "phantom_tracking",
            "models": ["sam"],
            "refined": True,
            "bootstrap": {"num_resamples": 100},
        }
    },
}
