# Contract
#   reads    the sources in deeds/
#   writes   deeds/deeds, the registration program
#   used by  registration; evaluation, tracking and confidence, where answers are refined

BUILD_ENVIRONMENT = "../envs/build.yaml"


rule build_deeds:
    """Build the registration program; it runs again when its sources change, not when they are touched."""
    output:
        "<results>/deeds/deeds",
    log:
        "<logs>/build_deeds.log",
    benchmark:
        "<benchmarks>/build_deeds.tsv"
    priority: 5  # a training may wait for it
    conda:
        BUILD_ENVIRONMENT
    threads: 2
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        build=RESULTS / "deeds" / "build",
        code=code_of_program("deeds"),
    shell:
        # A compiler that was killed leaves half an object file that is newer than its source.
        "(rm -rf {params.build}"
        " && cmake"
        " -S {workflow.basedir:q}/deeds"
        " -B {params.build}"
        " -DDEEDS_TESTS=OFF"
        " && cmake"
        " --build {params.build}"
        " --target deeds"
        " --parallel {threads}"
        " && mv {params.build}/deeds {output})"
        " > {log} 2>&1"
