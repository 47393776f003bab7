"""Actions: what remediator does to the outside, each behind one port with a declared guarantee."""
