package engine

// LargeReceiver is an Engine that has a few large buffers, for frames that fit into none
// of the others. An Engine need not be one.
type LargeReceiver interface {
	// LargeFrames says for frames of which sizes RecvLarge is meant: from least to most
	// bytes. With most 0 there are no large buffers, and RecvLarge must not be called.
	LargeFrames() (least, most int)

	// RecvLarge receives once, up to n bytes (1 to most), into a large buffer that is taken when bytes
	// are there, and completes once, as an OpRecv without More. It counts as the Recv of
	// fd, and Cancel ends it.
	//
	// Data is lent as Recv's. Its capacity is that of the buffer, and until Recycle all of
	// it is the owner's, who may give what is behind the data to RecvInto. -ENOBUFS: no
	// large buffer is free, and there is no promise when one will be: receive with
	// RecvInto.
	RecvLarge(fd FD, t Token, n int)
}
