using System.Text.Json;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>A script with the silo's command line and none of its work: for what the CLI does with the process alone.</summary>
public sealed class FakeSilo
{
    private const string Head =
        """
        #!/bin/sh
        here=$(dirname "$0")
        echo $$ > "$here/silo.pid"
        echo "$@" > "$here/silo.arguments"
        while [ $# -gt 0 ]; do
          case "$1" in --ready-file) ready=$2;; --until-stdin-closes) pipe=yes;; esac
          shift
        done

        """;

    private const string BecomeReady = "printf '{\"process_id\": %d}' $$ > \"$ready\"\n";
    private const string Stay = "if [ \"$pipe\" ]; then cat > /dev/null; else trap 'exit 0' TERM; while :; do sleep 0.1; done; fi\n";

    private readonly CliSandbox _sandbox;

    private FakeSilo(CliSandbox sandbox, string body)
    {
        _sandbox = sandbox;
        var path = sandbox.Write("phi3v-silo", Head + body);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        sandbox.Set("PHI3V_SILO", path);
    }

    public bool HasStarted => File.Exists(_sandbox.At("silo.arguments"));

    public int ProcessId => int.Parse(File.ReadAllText(_sandbox.At("silo.pid")));

    public string Arguments => File.ReadAllText(_sandbox.At("silo.arguments"));

    /// <summary>A process that ended but was not collected by its parent yet has no command line any more.</summary>
    public bool IsRunning
    {
        get
        {
            try
            {
                return File.ReadAllText($"/proc/{ProcessId}/cmdline").Length > 0;
            }
            catch (IOException)
            {
                return false;
            }
        }
    }

    public static FakeSilo ThatGetsReady(CliSandbox sandbox) => new(sandbox, BecomeReady + Stay);

    public static FakeSilo ThatNeverGetsReady(CliSandbox sandbox) => new(sandbox, Stay);

    public static FakeSilo ThatEndsAtOnce(CliSandbox sandbox, string lastWords) => new(sandbox, $"echo '{lastWords}' >&2\nexit 7\n");

    public static FakeSilo WhoseChecksSay(CliSandbox sandbox, params (string Check, bool Ok, string Detail)[] rows) => new(
        sandbox,
        $"cat <<'END'\n{JsonSerializer.Serialize(rows.Select(r => new { check = r.Check, ok = r.Ok, detail = r.Detail }))}\nEND\n");
}
