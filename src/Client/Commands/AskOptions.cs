using System.CommandLine;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

/// <summary>The options of every verb that asks a model.</summary>
internal sealed class AskOptions
{
    private readonly ModelOptions _model;
    private readonly Option<int?> _numCrops = new("--num-crops")
    {
        Description = "Most crops of an image. Default: the checkpoint's preprocessor_config.json, else 16.",
        HelpName = "N",
    };
    private readonly Option<int> _maxNewTokens = new("--max-new-tokens")
    {
        Description = "Longest answer, in tokens.",
        HelpName = "N",
        DefaultValueFactory = _ => 64,
    };

    public AskOptions(Command verb)
    {
        _model = new(verb);
        verb.Options.Add(_numCrops);
        verb.Options.Add(_maxNewTokens);
    }

    public ClusterAddress? Cluster(ParseResult parsed) => _model.Cluster(parsed);

    /// <summary>The job with the options' values in it.</summary>
    public T Fill<T>(T job, ParseResult parsed) where T : AskJob => _model.Fill(job, parsed) with
    {
        NumCrops = parsed.GetValue(_numCrops),
        MaxNewTokens = parsed.GetValue(_maxNewTokens),
    };
}
