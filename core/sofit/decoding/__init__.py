"""Writing outputs: batched decoding on the device, and the grammar's say in it."""
