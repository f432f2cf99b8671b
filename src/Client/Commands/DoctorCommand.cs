using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Checks;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Spectre.Console;

namespace Phi3VCluster.Client.Commands;

internal sealed class DoctorCommand : Verb
{
    private readonly Option<string> _output = new("--output")
    {
        Description = "Where results would go. Nodes of a cluster are asked for the place of its newest run, unless this is given.",
        HelpName = "DIR",
        DefaultValueFactory = _ => "./output",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public DoctorCommand() : base(
        "doctor", "Check this machine, and all nodes of a cluster: clocks, ports, disks, store, devices, certificates.", "phi3v doctor")
    {
        Options.Add(_output);
        Options.Add(_cluster);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var address = ClusterAddress.Find(parsed.GetValue(_cluster));
        var folder = Path.GetFullPath(UserPath.Expand(parsed.GetRequiredValue(_output)));
        IEnumerable<CheckRow> all =
        [
            .. MachineChecks.All(folder),
            .. await SiloChecks.AllAsync(interrupted),
            .. CertificateChecks.All(address),
            .. await ClusterChecks.AllAsync(address, folder, isGiven: parsed.GetResult(_output) is { Implicit: false }, interrupted),
        ];
        var rows = all.DistinctBy(r => r.Check).ToArray(); // the silo looks at some of the same things
        output.Result(rows, to => Show(to, rows));
        return rows.All(r => r.Ok) ? ExitCode.Done : ExitCode.Failed;
    }

    private static void Show(Output to, IReadOnlyList<CheckRow> rows) => Tables.Write(to,
        [new("check"), new("ok"), new("detail", Folds: true)],
        rows.Select(row => (string[])[row.Check, row.Ok ? "yes" : "no", row.Detail]));
}
