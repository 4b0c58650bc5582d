// Package top is the screen of kring top: the clients of a server, as they come and go.
//
// Job: a Bubble Tea model of a server's status and connections, and the same as plain text
// for where there is no terminal.
//
// Flow: a Source is asked every interval, the next time only when it has answered; keys
// change what is asked for. View draws the last answer into the size of the terminal.
//
// Ownership: a Model is a value; Update returns the next one. Its Source is called on
// goroutines of Bubble Tea, one at a time.
//
// Never: show text of a client with its control characters; ask while an answer is due; end
// because the server does not answer.
//
// Kernel: none.
package top
