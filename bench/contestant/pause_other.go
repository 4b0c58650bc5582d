//go:build !unix

package contestant

import (
	"errors"
	"os"
)

func signal(*os.Process, bool) error { return errors.ErrUnsupported }
