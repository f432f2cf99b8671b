using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

internal sealed class EvalCommand : Verb
{
    private readonly Option<string> _data = new("--data")
    {
        Description = "Samples to ask about: the format's name and a file or glob.",
        HelpName = "KIND:PATH",
        Required = true,
    };
    private readonly Option<string> _metrics = new("--metrics")
    {
        Description = "What to measure.",
        HelpName = "loss,anls,accuracy",
        DefaultValueFactory = _ => "loss,anls,accuracy",
    };
    private readonly AskOptions _model;

    public EvalCommand() : base("eval", "Measure a model on held-out samples.",
        "phi3v eval --model quickstart-data/model --data conversations:quickstart-data/eval.jsonl --metrics loss,anls")
    {
        Options.Add(_data);
        Options.Add(_metrics);
        _model = new(this);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (kind, path) = KindAndPath(parsed.GetRequiredValue(_data));
        var job = _model.Fill(new EvaluateJob
        {
            DataKind = kind,
            Data = ModelOptions.Absolute(path),
            Metrics = parsed.GetRequiredValue(_metrics).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
        }, parsed);
        var result = await JobSession.RunAsync<EvaluateResult>(job, _model.Cluster(parsed), interrupted);
        output.Result(EvaluationView.Document(result), to => EvaluationView.Show(to, result));
        return ExitCode.Done;
    }

    private static (string Kind, string Path) KindAndPath(string data) => data.IndexOf(':') is var colon and > 0
        ? (data[..colon], data[(colon + 1)..])
        : throw new InputException($"--data: must be KIND:PATH, got {data}; write for example conversations:data/test.jsonl.");
}
