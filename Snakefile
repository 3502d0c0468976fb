"""Train dense anatomical embeddings, find points in other scans with them, and score it all.

snakemake --cores all                                            the built-in demo
snakemake --cores all --configfile configs/headneck_ct.yaml      another run, on other data
"""

from snakemake.utils import min_version

min_version("9.14")


# A run file stands alone: the demo's is read only where the command line names none.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/build.smk"
include: "rules/phantoms.smk"
include: "rules/volumes.smk"
include: "rules/train.smk"
include: "rules/embeddings.smk"
include: "rules/evaluation.smk"
include: "rules/registration.smk"
include: "rules/registered_pairs.smk"
include: "rules/tracking.smk"
include: "rules/confidence.smk"
include: "rules/folds.smk"
include: "rules/lesion_scores.smk"
include: "rules/report.smk"
include: "rules/package.smk"
include: "rules/follow.smk"


onstart:
    # One machine needs no limit of jobs a second. For it Snakemake weighs all ready jobs again a second after every round,
    # so that each job that ends adds a round a second: see findings/snakemake_weighs_ready_jobs_again.sh.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


rule all:
    """The report, its figures for programs, the models ready for use, and the volumes that were brought over."""
    default_target: True
    input:
        "<results>/report.html",
        "<results>/summary.json",
        expand("<results>/models/{model}/model.safetensors", model=MODELS),
        registered_pairs_files("registered_moving.nii.gz"),
        followed_patients(),
