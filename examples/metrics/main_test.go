package main

func Example() {
	main()
	// Output:
	// kring_connections_accepted_total{listener="PLAINTEXT"} 1
}
