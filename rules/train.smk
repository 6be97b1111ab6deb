# Training, of round 0 on shapes and of later rounds on labels. Needs: a recipe, the data config of what it learns from,
# the shapes it is validated on, the model it starts from and own labels (if any). Makes: the model after its last epoch.


rule train:
    input:
        recipe=ancient("recipes/{name}/train-{key}.json"),
        data=ancient(place(TrainRecipe, "data")),
        shapes=ancient(place(TrainRecipe, "shapes")),
        start=ancient(place(TrainRecipe, "start")),
        labels=ancient(place(TrainRecipe, "labels")),
    output:
        model=protected("exp-ssl/{name}/{key}/model-{epoch}.pth"),
    log:
        "logs/{name}/train-{key}-{epoch}.log",
    benchmark:
        "logs/{name}/train-{key}-{epoch}.benchmark.tsv"
    conda:
        "../envs/hawp.yaml"
    threads: RUN.cores * SETTINGS.train.gpus
    resources:
        # On several nodes so many on each: a total would bind the step that starts the others, on the first node alone.
        **({"gpu": SETTINGS.train.gpus} if SETTINGS.train.nodes == 1 else {"gres": f"gpu:{SETTINGS.train.gpus}"}),
        nodes=SETTINGS.train.nodes,
        mem_mb=COMPUTE.mem_mb * SETTINGS.train.gpus,
        runtime=growing(COMPUTE.train_minutes),
    params:
        options=training_options,
        compute=f"--gpus {SETTINGS.train.gpus} --nodes {SETTINGS.train.nodes} --device {COMPUTE.device} --precision {COMPUTE.precision} "
        f"--num-workers {COMPUTE.workers} --save-minutes {COMPUTE.save_minutes} --trackers {' '.join(COMPUTE.trackers)}"
        + " --compile" * COMPUTE.compile,
    message:
        "Training {wildcards.name} ({wildcards.key})"
    shell:
        r"""
        hawp train --datacfg {input.data:q} --modelcfg {input.recipe:q} {params.options} \
            --expect {wildcards.key} {params.compute} --threads {threads} --log {log:q}
        """
