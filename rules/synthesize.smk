# Synthetic shapes. Needs: a recipe. Makes: shards of images with wireframes, and the data config that training reads.


rule synthesize_shard:
    input:
        recipe=ancient("recipes/synthetic-shapes/synthesize-{key}.json"),
    output:
        "data-ssl/synthetic-shapes/{key}/{split}-{shard}-of-{of}.h5",
    log:
        "logs/synthetic-shapes/{key}-{split}-{shard}-of-{of}.log",
    benchmark:
        "logs/synthetic-shapes/{key}-{split}-{shard}-of-{of}.benchmark.tsv"
    conda:
        "../envs/hawp.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=growing(60),
    message:
        "Drawing shapes: {wildcards.split} {wildcards.shard} of {wildcards.of}"
    shell:
        r"""
        hawp synthesize --config {input.recipe:q} --split {wildcards.split} \
            --shard $((10#{wildcards.shard}))/$((10#{wildcards.of})) --expect {wildcards.key} --log {log:q}
        """


rule synthesize:
    input:
        recipe=ancient("recipes/synthetic-shapes/synthesize-{key}.json"),
        shards=ancient(drawn_shards),
    output:
        "data-ssl/synthetic-shapes/{key}.yaml",
    log:
        "logs/synthetic-shapes/{key}.log",
    conda:
        "../envs/hawp.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=growing(30),
    message:
        "Gathering the shapes {wildcards.key}"
    shell:
        r"""
        hawp synthesize --config {input.recipe:q} --expect {wildcards.key} --log {log:q}
        """
