package main

func Example() {
	main()
	// Output:
	// batches: 3
}
