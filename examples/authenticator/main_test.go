package main

func Example() {
	main()
	// Output:
	// right password: <nil>
	// wrong password is refused: true
}
