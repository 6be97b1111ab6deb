# For `snakemake` in a checkout. The workflow lies where `snakedeploy` and the workflow catalog look for it; deployed from a
# repository, a Snakefile at the top would not find its rules (Snakemake 9.27 looks for /rules).


include: "workflow/Snakefile"
