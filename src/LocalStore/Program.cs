using Phi3VCluster.LocalStore;

return await StoreCommandLine.RunAsync(args);
