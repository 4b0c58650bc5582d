// Package properties reads Java's .properties files, the form of Kafka's
// server.properties.
//
// Job: turn a file into keys and values, each with its line and column. The syntax is
// that of java.util.Properties.load in Java 17, to the character.
//
// Flow: Parse reads the whole text and returns every property in order, and every
// fault. Split takes apart what later lines override.
//
// Ownership: none; all functions may be called from any goroutine.
//
// Never: know what a key means, or read a file by itself.
//
// Kernel: none.
package properties
