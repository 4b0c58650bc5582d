package main

func Example() {
	main()
	// Output:
	// set colour blue: ok
	// get colour: blue
}
