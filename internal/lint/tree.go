package lint

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// textBytesMax is the largest file that is read; bigger ones are data.
const textBytesMax = 1 << 20

// Tree is the source tree.
type Tree struct {
	Files []*File
	// modules are the folders of modules inside this one, each with a slash at
	// its end: their imports are not ours.
	modules []string
}

// File is one file of the tree. Path has forward slashes and starts at the root.
type File struct {
	Path   string
	Source []byte // nil for data
	// AST is nil unless the file is Go.
	AST       *ast.File
	Set       *token.FileSet
	Generated bool
}

// Finding is a rule broken, with the remedy.
type Finding struct {
	Path string
	Line int
	Text string
}

// Root is the folder of the module that the working directory is in.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if mod, e := os.ReadFile(filepath.Join(dir, "go.mod")); e == nil && bytes.HasPrefix(mod, []byte("module kring\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("lint: no go.mod of module kring above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// Load reads the tree at root.
func Load(root string) (*Tree, error) {
	paths, err := listed(root)
	if err != nil {
		return nil, err
	}
	t := &Tree{}
	for _, p := range paths {
		full := filepath.Join(root, filepath.FromSlash(p))
		info, err := os.Lstat(full)
		if err != nil || !info.Mode().IsRegular() {
			continue // deleted but still tracked, or a link
		}
		if info.Size() > textBytesMax {
			t.Files = append(t.Files, &File{Path: p})
			continue
		}
		source, err := os.ReadFile(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := t.Add(p, source); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Add adds a file.
func (t *Tree) Add(p string, source []byte) error {
	f := &File{Path: p, Source: source}
	if dir, ok := strings.CutSuffix(p, "/go.mod"); ok {
		t.modules = append(t.modules, dir+"/")
	}
	if strings.HasSuffix(p, ".go") && !strings.Contains(p, "testdata/") {
		f.Set = token.NewFileSet()
		var err error
		if f.AST, err = parser.ParseFile(f.Set, p, source, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return err
		}
		f.Generated = ast.IsGenerated(f.AST)
	}
	t.Files = append(t.Files, f)
	return nil
}

// listed is what git tracks or would track; without git, every file.
func listed(root string) ([]string, error) {
	git := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z")
	git.Dir = root
	if out, err := git.Output(); err == nil {
		return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"), nil
	}
	var all []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == ".git" || n == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, p)
		all = append(all, filepath.ToSlash(rel))
		return err
	})
	return all, err
}

// Go calls visit for every Go file that a person wrote.
func (t *Tree) Go(visit func(*File)) {
	for _, f := range t.Files {
		if f.AST != nil && !f.Generated {
			visit(f)
		}
	}
}

// foreign says that p belongs to a module of its own.
func (t *Tree) foreign(p string) bool {
	for _, m := range t.modules {
		if strings.HasPrefix(p, m) {
			return true
		}
	}
	return false
}

// Dir is the folder of the file, "." for the root.
func (f *File) Dir() string { return path.Dir(f.Path) }

// Test says that the file is only built for tests.
func (f *File) Test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Internal says that only this module can import the file's package.
func (f *File) Internal() bool {
	return strings.HasPrefix(f.Path, "internal/") || strings.Contains(f.Path, "/internal/")
}

// At makes a finding at a place in the file.
func (f *File) At(pos token.Pos, text string) Finding {
	return Finding{f.Path, f.Set.Position(pos).Line, text}
}
