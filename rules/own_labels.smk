# Own labels, where the configuration names some. Needs: a recipe, the list of the photographs. Makes: the labels in one file and
# the data config that trainings read.


rule import_labels:
    input:
        recipe=ancient("recipes/own-labels/import-{key}.json"),
        manifest=ancient(lambda wildcards: str(recipe_of(ImportRecipe, OWN_NAME, wildcards.key).places.manifest)),
    output:
        labels="data-ssl/own-labels/{key}.h5",
        config="data-ssl/own-labels/{key}.yaml",
    log:
        "logs/own-labels/{key}.log",
    conda:
        "../envs/hawp.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=growing(30),
    params:
        options=import_options,
    message:
        "Taking in own labels ({wildcards.key})"
    shell:
        r"""
        hawp import-labels {params.options} --manifest {input.manifest:q} --expect {wildcards.key} --log {log:q}
        """
