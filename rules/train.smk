# Training, of round 0 on shapes and of later rounds on labels. Needs: a recipe, the data config of what it learns from,
# the shapes it is validated on, the model it starts from (if any). Makes: the model after its last epoch.


def training_options(wildcards):
    """The options that the recipe's users know, spelled out: the log shows the line to repeat."""
    recipe = recipe_of("train", wildcards.name, wildcards.key)
    stages = recipe.settings["train"]
    stage = stages["real"] if "real" in stages else stages["synthetic"]
    start = f" --pretrained {recipe.places['start']}" if recipe.places["start"] else ""
    return (
        f"--name {recipe.name} --base-lr {stage['base_lr']} --epochs {stage['epochs']} "
        f"--batch-size {stage['batch_size']}{start}"
    )


rule train:
    message:
        "Training {wildcards.name} ({wildcards.key})"
    input:
        recipe=ancient("recipes/{name}/train-{key}.json"),
        data=ancient(place("train", "data")),
        shapes=ancient(place("train", "shapes")),
        start=ancient(place("train", "start")),
    output:
        model=protected("exp-ssl/{name}/{key}/model-{epoch}.pth"),
    log:
        "logs/{name}/train-{key}-{epoch}.log",
    benchmark:
        "logs/{name}/train-{key}-{epoch}.benchmark.tsv"
    threads: cores()
    resources:
        gpu=1,
        mem_mb=COMPUTE["mem_mb"],
        runtime=growing(COMPUTE["train_minutes"]),
    params:
        options=training_options,
        compute=f"--device {COMPUTE['device']} --precision {COMPUTE['precision']} "
        f"--num-workers {COMPUTE['workers']} --save-minutes {COMPUTE['save_minutes']}",
    conda:
        "../envs/hawp.yaml"
    shell:
        r"""
        hawp train --datacfg {input.data:q} --modelcfg {input.recipe:q} {params.options} \
            --expect {wildcards.key} {params.compute} --threads {threads} --log {log:q}
        """
