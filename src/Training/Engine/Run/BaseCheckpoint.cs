using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Model;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>Where a model's weights come from.</summary>
internal interface IBaseWeights
{
    Phi3VConfig Config { get; }

    /// <summary>The weights that the forward pass reads, in computation order.</summary>
    IReadOnlyList<TensorInfo> Used { get; }

    /// <summary>Reads a weight into a tensor of any type and device, and returns it.</summary>
    Tensor Read(TensorInfo weight, Tensor destination);
}

/// <summary>A checkpoint folder whose weights are those that its config asks for, open to be copied into a model.</summary>
internal sealed class BaseCheckpoint : IBaseWeights, IDisposable
{
    /// <summary>What is counted while weights are read.</summary>
    public const string Unit = "bytes";

    private readonly long _bytes;
    private long _read;

    private BaseCheckpoint(Phi3VConfig config, CheckpointFolder files)
    {
        (Config, Files) = (config, files);
        Used = [.. Phi3VWeights.List(config).Where(weight => !Phi3VWeights.IsUnused(weight.Name, config))];
        _bytes = Used.Sum(BytesOf);
    }

    public Phi3VConfig Config { get; }

    public CheckpointFolder Files { get; }

    public IReadOnlyList<TensorInfo> Used { get; }

    /// <exception cref="InputException">The checkpoint is not whole, or of a model that this code does not compute.</exception>
    public static BaseCheckpoint Open(string folder)
    {
        var config = Phi3VConfig.Read(folder);
        var files = CheckpointFolder.Open(folder);
        try
        {
            files.Check(Phi3VWeights.List(config), mayBeMissing: name => Phi3VWeights.IsUnused(name, config));
            return new(config, files);
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <summary>Copies every used weight straight from its file into the place made for it: no second copy of the model.</summary>
    public ModelWeights Fill(Func<TensorInfo, Tensor> place)
    {
        var weights = new ModelWeights();
        foreach (var weight in Used) weights[weight.Name] = Read(weight, place(weight));
        return weights;
    }

    public Tensor Read(TensorInfo weight, Tensor destination)
    {
        Files.CopyTo(weight.Name, destination);
        Activity.Report(Unit, _read += BytesOf(weight), _bytes);
        return destination;
    }

    public void Dispose() => Files.Dispose();

    private long BytesOf(TensorInfo weight) => weight.ElementCount * StoredType.Of(Files.Type(weight.Name)).ElementBytes;
}
