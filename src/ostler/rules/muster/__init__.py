"""Muster's manifests (`muster.giantswarm.io/v1alpha1`) read as ServiceClasses: templates, tool names, keys."""
