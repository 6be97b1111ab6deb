# Homographic adaptation. Needs: a recipe, the model, the photographs and their list. Makes: the labels in one file, the
# data config of the next training, and the record of how they were made.


rule export_shard:
    input:
        recipe=ancient("recipes/{name}/export-{key}.json"),
        model=ancient(place(ExportRecipe, "model")),
        manifest=ancient(place(ExportRecipe, "manifest")),
    output:
        temp("data-ssl/{name}/{key}-shards/{shard}-of-{of}.h5"),
    log:
        "logs/{name}/export-{key}-{shard}-of-{of}.log",
    benchmark:
        "logs/{name}/export-{key}-{shard}-of-{of}.benchmark.tsv"
    conda:
        "../envs/hawp.yaml"
    threads: RUN.shard_cores
    resources:
        gpu=1,
        mem_mb=COMPUTE.mem_mb,
        runtime=growing(COMPUTE.export_minutes),
    params:
        options=export_options,
        images=photographs_of(ExportRecipe),
        compute=f"--device {COMPUTE.device} --precision {COMPUTE.precision} --batch-size {COMPUTE.export_batch}"
        + (f" --memory-gb {COMPUTE.memory_gb}" if COMPUTE.memory_gb else ""),
    message:
        "Labelling photographs with {wildcards.name}: shard {wildcards.shard} of {wildcards.of}"
    shell:
        r"""
        hawp homoadp --datacfg {input.recipe:q} --images {params.images:q} --manifest {input.manifest:q} \
            {params.options} --shard $((10#{wildcards.shard}))/$((10#{wildcards.of})) \
            --expect {wildcards.key} {params.compute} --threads {threads} --log {log:q}
        """


rule export:
    input:
        recipe=ancient("recipes/{name}/export-{key}.json"),
        model=ancient(place(ExportRecipe, "model")),
        manifest=ancient(place(ExportRecipe, "manifest")),
        shards=ancient(labelled_shards),
    output:
        labels=protected("data-ssl/{name}/{key}-model-{epoch}.h5"),
        config="data-ssl/{name}/{key}-model-{epoch}.yaml",
        record="data-ssl/{name}/{key}-model-{epoch}.log",
    log:
        "logs/{name}/export-{key}-{epoch}.log",
    conda:
        "../envs/hawp.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=growing(30),
    params:
        options=export_options,
        images=photographs_of(ExportRecipe),
        share=SETTINGS.photographs.max_rejected,
        shards=lambda wildcards, input: len(input.shards),
    message:
        "Gathering the labels of {wildcards.name} ({wildcards.key})"
    shell:
        r"""
        hawp homoadp --datacfg {input.recipe:q} --images {params.images:q} --manifest {input.manifest:q} \
            {params.options} --gather {params.shards} --max-rejected {params.share} \
            --expect {wildcards.key} --log {log:q}
        """
