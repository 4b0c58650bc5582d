package main

func Example() {
	main()
	// Output:
	// orders 0: a hammer
}
