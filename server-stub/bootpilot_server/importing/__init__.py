"""Takes other installers in: their kernels into the artifact store, a profile and templates into an operator's folder."""
