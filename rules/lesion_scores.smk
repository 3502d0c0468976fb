# Contract
#   reads    annotations, and of phantoms <split>.out_of_view.json; volumes/<dataset>.csv and the prepared volumes;
#            trackings/<tracking>/<split>/: frames.csv, queries.csv, and every <model>.<method>.matches.csv, .judged.csv and
#            .confidence_scores.json
#   writes   trackings/<tracking>/<split>/: <model>.<method>.scores.json, .pairs.csv and .lesions.html, and the scores and
#            pairs of the affine start that the public annotations give, affine_start.*
#   used by  report, which leads to the pages


def answer_files(name, split, answer):
    """Return what pages show of an answer and of the affine start."""
    folder = RESULTS / "trackings" / name / split
    kinds = [
        "scores.json",
        "pairs.csv",
        "matches.csv",
        "judged.csv",
        "confidence_scores.json",
    ]
    return [
        *[
            folder / file
            for file in (
                "queries.csv",
                "affine_start.scores.json",
                "affine_start.pairs.csv",
            )
        ],
        *[folder / f"{answer}.{kind}" for kind in kinds],
    ]


def resampling_arguments(wildcards):
    """Return the draws behind intervals and tests of a tracking."""
    bootstrap = tracking_of(wildcards).bootstrap
    return ["--num-draws", str(bootstrap.num_resamples), "--seed", str(bootstrap.seed)]


rule score_tracking:
    """Score one method under every published definition, and compare it with the affine start."""
    input:
        annotations=annotations_of,
        predictions="<results>/trackings/{tracking}/{split}/{model}.{method}.matches.csv",
        compare=annotations_of,
        set_aside=pairs_out_of_view,
        volumes="<results>/trackings/{tracking}/{split}/frames.csv",
    output:
        scores="<results>/trackings/{tracking}/{split}/{model}.{method}.scores.json",
        pairs="<results>/trackings/{tracking}/{split}/{model}.{method}.pairs.csv",
    log:
        "<logs>/score_tracking/{tracking}/{split}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/score_tracking/{tracking}/{split}/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        draws=resampling_arguments,
        compare=given_options("compare"),
        set_aside=given_options("set_aside"),
        state=lambda wildcards: state_of([annotations_of(wildcards)]),
        code=code_of("score_tracking"),
    shell:
        "python -m workflow_scripts.score_tracking"
        " --annotations {input.annotations:q}"
        " --predictions {input.predictions:q}"
        " --volumes {input.volumes}"
        " {params.compare:q}"
        " {params.set_aside:q}"
        " {params.draws}"
        " --output {output.scores}"
        " --pairs-output {output.pairs}"
        " > {log} 2>&1"


use rule score_tracking as score_affine_start with:
    """Score the affine start that the annotations give, as an answer of its own."""
    input:
        annotations=annotations_of,
        predictions=annotations_of,
        volumes="<results>/trackings/{tracking}/{split}/frames.csv",
    output:
        scores="<results>/trackings/{tracking}/{split}/affine_start.scores.json",
        pairs="<results>/trackings/{tracking}/{split}/affine_start.pairs.csv",
    log:
        "<logs>/score_tracking/{tracking}/{split}/affine_start.log",
    benchmark:
        "<benchmarks>/score_tracking/{tracking}/{split}/affine_start.tsv"
    wildcard_constraints:
        split="validation|test",


rule write_lesion_page:
    """Show every followed lesion in three planes, worst first."""
    input:
        lambda wildcards: answer_files(
            wildcards.tracking, wildcards.split, wildcards.answer
        ),
        index=tracked_index,
    output:
        "<results>/trackings/{tracking}/{split}/{answer}.lesions.html",
    log:
        "<logs>/write_lesion_page/{tracking}/{split}/{answer}.log",
    benchmark:
        "<benchmarks>/write_lesion_page/{tracking}/{split}/{answer}.tsv"
    wildcard_constraints:
        answer=one_of({answer for _, answer in ANSWERS}),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=lambda wildcards: section_of(tracking_of(wildcards)),
        prefix=lambda wildcards, output: Path(output[0]).with_name(wildcards.answer),
        title=lambda wildcards: f"{SETTINGS.title}: lesions of {wildcards.tracking}",
        code=code_of("write_lesion_page"),
    shell:
        "python -m workflow_scripts.write_lesion_page"
        " --settings {params.settings:q}"
        " --tracking {params.prefix}"
        " --index {input.index}"
        " --title {params.title:q}"
        " --output {output}"
        " 2> {log}"
