"""`kubernetes.scale`: the number of replicas of a Deployment or StatefulSet."""
