"""Sources of respondents: the published file in both of its formats, the download, and the simulated cohort."""
