"""Where respondents come from: the published file in both its forms, the download, the simulated cohort."""
