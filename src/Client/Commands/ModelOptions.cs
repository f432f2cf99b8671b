using System.CommandLine;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

/// <summary>The options of every verb that asks a model.</summary>
internal sealed class ModelOptions
{
    private readonly Option<string> _model = new("--model")
    {
        Description = "Checkpoint folder in Hugging Face layout.",
        HelpName = "DIR",
        Required = true,
    };
    private readonly Option<string?> _adapter = new("--adapter")
    {
        Description = "PEFT adapter folder to put on the model.",
        HelpName = "DIR",
    };
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
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public ModelOptions(Command verb)
    {
        foreach (var option in (Option[])[_model, _adapter, _numCrops, _maxNewTokens, _cluster]) verb.Options.Add(option);
    }

    public ClusterAddress? Cluster(ParseResult parsed) => ClusterAddress.Find(parsed.GetValue(_cluster));

    /// <summary>The job with the options' values in it.</summary>
    public T Fill<T>(T job, ParseResult parsed) where T : ModelJob => job with
    {
        Model = Absolute(parsed.GetRequiredValue(_model)),
        Adapter = parsed.GetValue(_adapter) is { } adapter ? Absolute(adapter) : null,
        NumCrops = parsed.GetValue(_numCrops),
        MaxNewTokens = parsed.GetValue(_maxNewTokens),
    };

    /// <summary>The node has a current folder of its own. An empty path stays empty, to be refused.</summary>
    public static string Absolute(string path) => string.IsNullOrWhiteSpace(path) ? path : Path.GetFullPath(path);
}
