"""Sources: where records come from. One port; adapters know the model and this port only."""
