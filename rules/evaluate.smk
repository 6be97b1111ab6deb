# Measurement of each round's model. Needs: a recipe, the model, the shapes, the photographs' list. Makes: a JSON file.


rule evaluate:
    message:
        "Measuring {wildcards.name} ({wildcards.model})"
    input:
        recipe=ancient("recipes/{name}/evaluate-{key}.json"),
        model=ancient(place("evaluate", "model")),
        shapes=ancient(place("evaluate", "shapes")),
        manifest=ancient(place("evaluate", "manifest")),
    output:
        "exp-ssl/{name}/{model}/evaluation-{key}.json",
    log:
        "logs/{name}/evaluate-{model}-{key}.log",
    benchmark:
        "logs/{name}/evaluate-{model}-{key}.benchmark.tsv"
    threads: cores()
    resources:
        gpu=1,
        mem_mb=COMPUTE["mem_mb"],
        runtime=growing(COMPUTE["export_minutes"]),
    params:
        images=lambda wildcards: recipe_of("evaluate", wildcards.name, wildcards.key).places["folder"],
    conda:
        "../envs/hawp.yaml"
    shell:
        r"""
        hawp evaluate --ckpt {input.model:q} --config {input.recipe:q} --images {params.images:q} \
            --manifest {input.manifest:q} --expect {wildcards.key} --device {COMPUTE[device]} \
            --threads {threads} --log {log:q}
        """
