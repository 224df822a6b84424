"""What every service is, configured or created: state, registry, listeners, views.

Nothing here knows ServiceClasses.
"""
