using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// The tensors a model computes with, by checkpoint name: frozen ones, or trained leaves whose <c>grad</c> the caller has set.
/// The tensors stay the caller's; a model reads them when it is constructed, so they are all set, and all adapters attached, before that.
/// </summary>
public sealed class ModelWeights
{
    private readonly Dictionary<string, Tensor> _tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LowRank> _adapters = new(StringComparer.Ordinal);

    public Tensor this[string name]
    {
        get => _tensors.TryGetValue(name, out var tensor) ? tensor : throw new KeyNotFoundException($"The weight {name} was not set.");
        set => _tensors[name] = value;
    }

    /// <summary>Adds a low-rank update to the linear map <paramref name="module"/>, the weight's name without <c>.weight</c>.</summary>
    public void Attach(string module, LowRank adapter) => _adapters[module] = adapter;

    internal Linear Linear(string module, bool hasBias = false) =>
        new(this[module + ".weight"], hasBias ? this[module + ".bias"] : null, _adapters.GetValueOrDefault(module));

    internal LayerNorm LayerNorm(string module, double epsilon) => new(this[module + ".weight"], this[module + ".bias"], epsilon);
}

/// <summary>A low-rank update of a linear map (LoRA): y = xWᵀ + b + scale·(xAᵀ)Bᵀ.</summary>
/// <param name="A">[rank, in].</param>
/// <param name="B">[out, rank].</param>
public sealed record LowRank(Tensor A, Tensor B, double Scale);
