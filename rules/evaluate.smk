# Measurement of each round's model. Needs: a recipe, the model, the shapes, the photographs' list. Makes: a JSON file.


rule evaluate:
    input:
        recipe=ancient("recipes/{name}/evaluate-{key}.json"),
        model=ancient(place(EvaluateRecipe, "model")),
        shapes=ancient(place(EvaluateRecipe, "shapes")),
        manifest=ancient(place(EvaluateRecipe, "manifest")),
    output:
        "exp-ssl/{name}/{model}/evaluation-{key}.json",
    log:
        "logs/{name}/evaluate-{model}-{key}.log",
    benchmark:
        "logs/{name}/evaluate-{model}-{key}.benchmark.tsv"
    conda:
        "../envs/hawp.yaml"
    threads: RUN.cores
    resources:
        gpu=1,
        mem_mb=COMPUTE.mem_mb,
        runtime=growing(COMPUTE.export_minutes),
    params:
        compute=f"--device {COMPUTE.device}",
        images=photographs_of(EvaluateRecipe),
        truth=truth_options,
    message:
        "Measuring {wildcards.name} ({wildcards.model})"
    shell:
        r"""
        hawp evaluate --ckpt {input.model:q} --config {input.recipe:q} --images {params.images:q} \
            --manifest {input.manifest:q} --expect {wildcards.key} {params.truth} {params.compute} \
            --threads {threads} --log {log:q}
        """
