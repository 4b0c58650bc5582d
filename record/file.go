package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// fileMode is that of a recording: topics, client ids and groups are nobody else's business.
const fileMode = 0o600

// filesMax bounds how many recordings of one name there may be.
const filesMax = 10

// ErrFilesMax says that there are as many recordings of a name as there may be.
var ErrFilesMax = errors.New("record: there are as many recordings of this name as there may be")

// Create makes a new file for a recording, that only its owner may read: path, or path.1 to path.9
// when there are such files already, so that a server that starts again keeps what it recorded
// before. The error is ErrFilesMax when there are all of them.
func Create(path string) (*os.File, error) {
	for n := range filesMax {
		name := path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("%w: %s, and %s.1 to %s.%d; remove some of them", ErrFilesMax, path, path, path, filesMax-1)
}
