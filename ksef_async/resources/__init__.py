"""What a company manages at KSeF besides sending and receiving: one class a resource, a method for every operation."""
