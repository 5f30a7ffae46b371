package cli

import (
	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/local"
)

func newExec() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:   "exec [site] <tier>/<n> [-- program [argument]...]",
		Short: "Open a shell inside an instance's walls; the session is audited",
		Long: `Run a program, or a shell, under the same walls as an instance's app and in its network.
What is typed and what is printed goes to the audit directory of the site's state.

The exit code is the program's.`,
		Example: "  ringwall exec fleet/1\n  ringwall exec wp-dev admin/1 -- ls -l",
		RunE: func(c *cobra.Command, args []string) error {
			dash := c.ArgsLenAtDash()
			var program []string
			if dash >= 0 {
				program, args = args[dash:], args[:dash]
			}
			_, client, rest, err := connect(&flags, args)
			if err != nil {
				return err
			}
			if err := want(rest, 1, 1, "one instance, such as fleet/1; the program stands after --"); err != nil {
				return err
			}
			code, err := client.Exec(c.Context(), local.ExecRequest{Instance: rest[0], Args: program})
			if err == nil && code != 0 {
				err = &exitError{code, nil}
			}
			return err
		},
	}
	flags.add(c)
	return c
}
