package engine

// BufferCounter is an Engine whose receives share so many buffers. An Engine need not be one.
type BufferCounter interface {
	// ReceiveBuffers is how many buffers Recv lends at most at a time. Owner only.
	ReceiveBuffers() int
}
