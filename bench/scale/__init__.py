"""What a load needs: machines, shards, connections and money, computed from what each thing was measured to cost."""
