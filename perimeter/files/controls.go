package files

import (
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = []*perimeter.Control{
	{
		ID:      ctlReadOnly,
		Doc:     "Fleet cannot overwrite, extend or shorten a file of the site.",
		Why:     "A captured fleet instance puts its own page, or its own code, in front of every visitor.",
		Vantage: perimeter.InFleet,
		AWS:     onTree(overwriteOnAWS),
		Needs:   []string{"private mounts or Landlock"},
		Probe:   noOverwrite,
	},
	{
		ID:      "files/no-create",
		Wall:    ctlReadOnly,
		Doc:     "Fleet cannot make a file, a directory, a link or a pipe in the site's tree.",
		Why:     "One new script in the tree is a way back in that survives the instance.",
		Vantage: perimeter.InFleet,
		AWS:     onTree(createOnAWS),
		Needs:   []string{"private mounts or Landlock"},
		Probe:   noCreate,
	},
	{
		ID:      "files/no-rename",
		Wall:    ctlReadOnly,
		Doc:     "Fleet cannot rename or delete anything in the site's tree.",
		Why:     "A file moved into another's place is as good as one overwritten, and one deleted is an outage.",
		Vantage: perimeter.InFleet,
		AWS:     onTree(renameOnAWS),
		Needs:   []string{"private mounts"},
		Probe:   noRename,
	},
	{
		ID:      "files/no-attributes",
		Wall:    ctlReadOnly,
		Doc:     "Fleet cannot change the mode, owner, times or attributes of a file of the site.",
		Why:     "A mode that lets others write is opened today and used tomorrow.",
		Vantage: perimeter.InFleet,
		AWS:     onTree(attributesOnAWS),
		Needs:   []string{"private mounts or seccomp"},
		Probe:   noAttributes,
	},
	{
		ID:      "files/no-remount",
		Wall:    ctlReadOnly,
		Doc:     "Fleet cannot make its view of the tree writable, or look behind it.",
		Why:     "Read-only is worth nothing where the reader may change it.",
		Vantage: perimeter.InFleet,
		AWS:     onTree(remountOnAWS),
		Needs:   []string{"private mounts"},
		Probe:   noRemount,
	},
	{
		ID:      ctlNoExec,
		Doc:     "What was uploaded is never executed, not even by admin.",
		Why:     "An upload form that takes a program is the oldest way in.",
		Vantage: perimeter.InAdmin,
		AWS:     noExecOnAWS,
		Needs:   []string{"private mounts"},
		Applies: func(p *plan.Plan) bool { return len(p.Files.Uploads) > 0 },
		Probe:   uploadsNoExec,
	},
	{
		ID:      ctlAdminWrites,
		Doc:     "Admin can change the tree, so that the refusals above are about rights and not about a broken disk.",
		Why:     "A tree that nobody can write is not safe but dead: updates are the first thing to stop.",
		Vantage: perimeter.InAdmin,
		AWS:     adminWritesOnAWS,
		Applies: func(p *plan.Plan) bool { a := p.Tier(plan.Admin); return a != nil && a.Write },
		Probe:   adminWrites,
	},
}
