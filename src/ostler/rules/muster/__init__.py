"""Muster's manifests (`muster.giantswarm.io/v1alpha1`) read as ServiceClasses: templates, tool names, keys.

Nothing outside imports this folder but `reading`, where the form is registered, and what speaks muster's tools.
"""
