using System.CommandLine;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

/// <summary>The options of every verb that works on a model.</summary>
internal sealed class ModelArguments
{
    private readonly Option<string> _model = new("--model")
    {
        Description = "Checkpoint folder in Hugging Face layout, or the folder of a run that made one.",
        HelpName = "DIR",
        Required = true,
    };
    private readonly Option<string?> _adapter = new("--adapter")
    {
        Description = "PEFT adapter folder to put on the model, or the folder of a run that made one.",
        HelpName = "DIR",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public ModelArguments(Command verb, bool needsAdapter = false)
    {
        _adapter.Required = needsAdapter;
        foreach (var option in (Option[])[_model, _adapter, _cluster]) verb.Options.Add(option);
    }

    public ClusterAddress? Cluster(ParseResult parsed) => ClusterAddress.Find(parsed.GetValue(_cluster));

    /// <summary>The job with the options' values in it.</summary>
    public T Fill<T>(T job, ParseResult parsed) where T : ModelJob => job with
    {
        Model = Absolute(parsed.GetRequiredValue(_model)),
        Adapter = parsed.GetValue(_adapter) is { } adapter ? Absolute(adapter) : null,
    };

    /// <summary>The node has a current folder of its own. An empty path stays empty, to be refused; ~ is the home folder.</summary>
    public static string Absolute(string path) => UserPath.Absolute(path);
}
