# Synthetic shapes. Needs: a recipe. Makes: shards of images with wireframes, and the data config that training reads.


def shape_shards(wildcards):
    recipe = recipe_of("synthesize", "synthetic-shapes", wildcards.key)
    return [
        f"data-ssl/synthetic-shapes/{wildcards.key}/{split}-{i:05d}-of-{of:05d}.h5"
        for split, of in recipe.places["shards"].items()
        for i in range(of)
    ]


rule synthesize_shard:
    message:
        "Drawing shapes: {wildcards.split} {wildcards.shard} of {wildcards.of}"
    input:
        recipe=ancient("recipes/synthetic-shapes/synthesize-{key}.json"),
    output:
        "data-ssl/synthetic-shapes/{key}/{split}-{shard}-of-{of}.h5",
    log:
        "logs/synthetic-shapes/{key}-{split}-{shard}-of-{of}.log",
    benchmark:
        "logs/synthetic-shapes/{key}-{split}-{shard}-of-{of}.benchmark.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=growing(60),
    conda:
        "../envs/hawp.yaml"
    shell:
        r"""
        hawp synthesize --config {input.recipe:q} --split {wildcards.split} \
            --shard $((10#{wildcards.shard}))/$((10#{wildcards.of})) --expect {wildcards.key} --log {log:q}
        """


rule synthesize:
    message:
        "Gathering the shapes {wildcards.key}"
    input:
        recipe=ancient("recipes/synthetic-shapes/synthesize-{key}.json"),
        shards=ancient(shape_shards),
    output:
        "data-ssl/synthetic-shapes/{key}.yaml",
    log:
        "logs/synthetic-shapes/{key}.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=growing(30),
    conda:
        "../envs/hawp.yaml"
    shell:
        r"""
        hawp synthesize --config {input.recipe:q} --expect {wildcards.key} --log {log:q}
        """
