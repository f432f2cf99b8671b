using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Supervision;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>What <c>phi3v up --silos N</c> leaves running. No verb for people: it has no defaults and is in no help.</summary>
internal sealed class SuperviseCommand : Verb
{
    public const string VerbName = "supervise";

    private readonly Option<int> _silos = new("--silos"), _ranks = new("--ranks");
    private readonly Option<int> _gatewayPort = new("--gateway-port"), _siloPort = new("--silo-port"), _httpPort = new("--http-port");
    private readonly Option<string> _readyFile = new("--ready-file");

    public SuperviseCommand() : base(VerbName, "Keep the silos of one machine running.", "phi3v up --silos 3")
    {
        Hidden = true;
        foreach (var option in (Option[])[_silos, _ranks, _gatewayPort, _siloPort, _httpPort, _readyFile])
        {
            option.Required = true;
            Options.Add(option);
        }
    }

    protected override bool EndsWithDotnetRun => false;

    public static IReadOnlyList<string> CommandLine(ClusterPlan plan, string readyFile) =>
    [
        VerbName, "--silos", $"{plan.Silos}", "--ranks", $"{plan.Ranks}", "--gateway-port", $"{plan.GatewayPort}",
        "--silo-port", $"{plan.SiloPort}", "--http-port", $"{plan.HttpPort}", "--ready-file", readyFile,
    ];

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var plan = new ClusterPlan(parsed.GetValue(_silos), parsed.GetValue(_ranks),
            parsed.GetValue(_gatewayPort), parsed.GetValue(_siloPort), parsed.GetValue(_httpPort));
        var ready = $$"""{"process_id": {{Environment.ProcessId}}}""";
        await new Supervisor(plan).RunAsync(() => AtomicFile.Write(parsed.GetRequiredValue(_readyFile), ready), interrupted);
        return ExitCode.Done;
    }
}
