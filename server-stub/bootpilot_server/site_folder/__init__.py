"""The operator's folder of profiles, rules, loaders and templates: read, checked, made a revision."""
