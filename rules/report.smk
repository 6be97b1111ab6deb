# The report: the table of rounds and the figures. Needs: the recipes of a chain, and everything made by them. Makes: each
# figure as a picture, and as a page for `snakemake --report report.html`.

# File name, category and title of every page; report/NAME.rst says what to look for.
PAGES = {
    "rounds": ("1 Rounds", "1 table of rounds"),
    "chain": ("1 Rounds", "2 chain of rounds"),
    "metrics": ("1 Rounds", "3 metrics by round"),
    "losses": ("2 Training", "1 losses"),
    "validation": ("2 Training", "2 validation"),
    "gallery-best": ("3 Labels", "1 most agreement"),
    "gallery-worst": ("3 Labels", "2 least agreement"),
    "shapes": ("3 Labels", "3 synthetic shapes"),
    "cost": ("4 Cost", "1 runtime and memory"),
}
PICTURES = (
    "rounds.csv chain.svg metrics.svg losses.svg validation.svg cost.svg gallery-best.png gallery-worst.png shapes.png"
)


rule report:
    input:
        recipe=ancient("recipes/{name}/report-{key}.json"),
        results=ancient(reported),
    output:
        *(f"reports/{{name}}/{{key}}/{picture}" for picture in PICTURES.split()),
        **{
            page.replace("-", "_"): report(
                f"reports/{{name}}/{{key}}/{page}.html",
                caption=f"../report/{page}.rst",
                category=category,
                labels={"figure": title},
            )
            for page, (category, title) in PAGES.items()
        },
    log:
        "logs/{name}/report-{key}.log",
    conda:
        "../envs/hawp.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=growing(30),
    message:
        "Drawing the report of {wildcards.name}"
    shell:
        r"""
        hawp report --config {input.recipe:q} --expect {wildcards.key} --log {log:q}
        """
